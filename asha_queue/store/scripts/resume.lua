-- resume(experiment; request, members)
--     → 'ok' | 'unchanged' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash: state; moves the trials in `queued`; writes orders, the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of the `resumed` entry, JSON text without braces

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if ENDED[state] then return state end
if state == 'open' then return 'unchanged' end

append('resumed', ARGV[2], true)
redis.call('HSET', experiment, 'state', 'open')
all_due()
return obey(ARGV[1], 'ok')
