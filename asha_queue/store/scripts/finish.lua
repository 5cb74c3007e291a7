-- finish(experiment; last, request, members, drain)
--     → 'ok' | 'running' | 'stale' | 'paused' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash
-- ARGV[1]  id of the last decision-relevant entry that the caller had folded
-- ARGV[2]  random id of this call
-- ARGV[3]  members of the `finished` entry, JSON text without braces
-- ARGV[4]  '1': with segments open, early. While some run nothing is journalled: from now on the
--          experiment is `ending`, so that they are handed back. What is queued stays so. '': none
--          is open

local answer = undecidable(ARGV[1], ARGV[2])
if answer then return answer end
local segments = redis.call('ZCARD', queued) + redis.call('ZCARD', running)
if ARGV[4] == '1' then
  if redis.call('ZCARD', running) > 0 then
    redis.call('HSET', experiment, 'ending', '1')
    return 'running'
  end
elseif segments > 0 then
  return illegal('an experiment with ' .. segments .. ' open segments cannot finish')
end

append('finished', ARGV[3], true)
redis.call('HSET', experiment, 'state', 'finished', 'request', ARGV[2], 'ending', '')
return 'ok'
