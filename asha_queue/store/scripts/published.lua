-- published(experiment; (trial, rung, attempt) …) → 'ok' | 'unknown'
--
-- KEYS[1]  the experiment's hash; moves the trials in `queued`
-- ARGV     three per message sent
--
-- The n-th mark puts the next publication off by PUBLISH_AGAIN * 2^(n-1), up to PUBLISH_AGAIN_MAX.
-- Only what is due is marked: a repeated call, or a second publisher, does not double the delay.

if absent() then return 'unknown' end
for i = 1, #ARGV, 3 do
  local trial = ARGV[i]
  local due = redis.call('ZSCORE', queued, trial)
  local key = experiment .. ':trial:' .. trial
  if due and tonumber(due) <= now then
    local rung, attempt = unpack(redis.call('HMGET', key, 'rung', 'attempt'))
    if rung == ARGV[i + 1] and attempt == ARGV[i + 2] then
      local times = redis.call('HINCRBY', key, 'publications', 1)
      local delay = math.min(PUBLISH_AGAIN * 2 ^ (times - 1), PUBLISH_AGAIN_MAX)
      redis.call('ZADD', queued, digits(now + delay), trial)
    end
  end
end
return 'ok'
