-- evict(experiment; term, (trial, rung, newest, how many, path …) …) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes checkpoints, removals, records, the journal
-- ARGV[1]  term of the leader that asks: a deposed one is refused, and all are once the
--          experiment has ended: that is its last entry
-- ARGV[2…] per trial: its number; the rung in which it rests; how many of its newest checkpoints
--          stay; how many others stay as well, and their paths
--
-- What does not stay leaves the record, with one entry per trial, and waits in `removals` for its
-- files to be removed. A trial that is open, or no longer in that rung, is passed over: whoever may
-- claim it, or has claimed it, finds what it was told of. `evicted` is the resource that it has lost:
-- its next start says so.

local state, term = unpack(redis.call('HMGET', experiment, 'state', 'term'))
if not term then return 'unknown' end
if term ~= ARGV[1] or ENDED[state] then return 'stale' end

local i = 2
while i <= #ARGV do
  local trial, rung, newest, others = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local stays = {}
  for j = i + 4, i + 3 + others do stays[ARGV[j]] = true end
  i = i + 4 + others
  local r = record(trial)
  if r and (r.state == 'IDLE' or r.state == 'FINAL') and r.rung == rung then
    local held = redis.call('LRANGE', r.checkpoints, 0, -1)
    local gone, had, left = {}, '0', '0'
    for place, text in ipairs(held) do
      local checkpoint = cjson.decode(text)
      had = checkpoint.resource
      if place > #held - newest or stays[checkpoint.path] then
        left = checkpoint.resource
      else
        redis.call('LREM', r.checkpoints, 1, text)
        redis.call('ZADD', experiment .. ':removals', digits(now), checkpoint.path)
        table.insert(gone, cjson.encode(checkpoint.path))
      end
    end
    if #gone > 0 then
      append('evicted', '"trial":' .. trial .. ',"rung":' .. rung .. ',"checkpoints":[' ..
        table.concat(gone, ',') .. '],"reached":' .. had .. ',"left":' .. left)
      local lost_at = math.min(count(r, 'lost_at'), tonumber(left))
      local evicted = count(r, 'evicted')
      if left ~= had then evicted = math.max(evicted, tonumber(had)) end
      redis.call('HSET', r.key, 'lost_at', digits(lost_at), 'evicted', digits(evicted))
    end
  end
end
return 'ok'
