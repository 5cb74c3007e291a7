-- start(experiment; trial, token, start, dropped …) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes the record, its checkpoints, refusals, the journal
-- ARGV[1]  trial
-- ARGV[2]  token of the claim
-- ARGV[3]  resource of the checkpoint that was restored, 0 = none
-- ARGV[4…] paths of the newer checkpoints that were found corrupt
--
-- Journalled once per token, a `warning` before it if checkpoints were dropped, or evicted. `start` must be the
-- resource of the newest checkpoint left: what the journal says is what the record holds.

local trial, token, start = ARGV[1], ARGV[2], ARGV[3]
local r, answer = fenced(trial, token, {}, true)
if not r then return answer end
if r.started == token then return 'ok' end

local dropped, elements, resource = {}, {}, '0'
for i = 4, #ARGV do dropped[ARGV[i]] = true end
-- Only a start that drops some needs to look at more than the newest.
for _, text in ipairs(redis.call('LRANGE', r.checkpoints, #ARGV > 3 and 0 or -1, -1)) do
  local checkpoint = cjson.decode(text)
  if dropped[checkpoint.path] then
    table.insert(elements, text)
  else
    resource = checkpoint.resource
  end
end
if start ~= resource or tonumber(start) >= tonumber(r.target) then
  return illegal('trial ' .. trial .. ' rung ' .. r.rung .. ' starts at ' .. start ..
    ', its newest checkpoint is at ' .. resource .. ' and its target ' .. r.target)
end

for _, text in ipairs(elements) do redis.call('LREM', r.checkpoints, -1, text) end
if #ARGV > 3 then
  append('warning', '"trial":' .. trial .. ',"rung":' .. r.rung .. ',"what":' .. cjson.encode(
    'corrupt checkpoints dropped, training goes on from ' .. start .. ': ' ..
    table.concat(ARGV, ', ', 4)))
end
begin(r, token, start)
return 'ok'
