-- finish(experiment; last, request, members)
--     → 'ok' | 'stale' | 'paused' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash
-- ARGV[1]  id of the last decision-relevant entry that the caller had folded
-- ARGV[2]  random id of this call
-- ARGV[3]  members of the `finished` entry, JSON text without braces

local answer = undecidable(ARGV[1], ARGV[2])
if answer then return answer end
local segments = redis.call('ZCARD', queued) + redis.call('ZCARD', running)
if segments > 0 then
  return illegal('an experiment with ' .. segments .. ' open segments cannot finish')
end

append('finished', ARGV[3], true)
redis.call('HSET', experiment, 'state', 'finished', 'request', ARGV[2])
return 'ok'
