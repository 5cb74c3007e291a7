-- running(experiment) → 'unknown' | {trial, rung, attempt, token, worker, target} …
--
-- KEYS[1]  the experiment's hash; reads `running` and the records

if absent() then return 'unknown' end
local segments = {}
for _, trial in ipairs(redis.call('ZRANGE', running, 0, -1)) do
  local facts = redis.call('HMGET', experiment .. ':trial:' .. trial,
    'rung', 'attempt', 'token', 'worker', 'target')
  table.insert(segments, {trial, unpack(facts)})
end
return segments
