-- due(experiment; limit) → 'unknown' | {trial, bracket, rung, target, attempt, config} …
--
-- KEYS[1]  the experiment's hash; reads `queued` and the records
-- ARGV[1]  at most so many
--
-- While the experiment is not open, or ending, a message could only be refused: nothing is due.

local state, ending = unpack(redis.call('HMGET', experiment, 'state', 'ending'))
if not state then return 'unknown' end
if state ~= 'open' or ending == '1' then return {} end
local segments = {}
local trials = redis.call('ZRANGEBYSCORE', queued, '-inf', digits(now), 'LIMIT', 0, ARGV[1])
for _, trial in ipairs(trials) do
  local facts = redis.call('HMGET', experiment .. ':trial:' .. trial,
    'bracket', 'rung', 'target', 'attempt', 'config')
  table.insert(segments, {trial, unpack(facts)})
end
return segments
