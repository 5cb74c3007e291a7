-- resume(experiment; request, members)
--     → 'ok' | 'unchanged' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state; moves the trials in `queued`; writes orders, the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `resumed` entry, JSON text without braces
--
-- The messages of what is queued were refused meanwhile: all of it is due now, as if never sent.

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if ENDED[state] then return state end
if state == 'open' then return 'unchanged' end

append('resumed', ARGV[2], true)
redis.call('HSET', experiment, 'state', 'open')
for _, trial in ipairs(redis.call('ZRANGE', queued, 0, -1)) do
  redis.call('HSET', experiment .. ':trial:' .. trial, 'publications', 0)
  redis.call('ZADD', queued, digits(now), trial)
end
return obey(ARGV[1], 'ok')
