-- refuse(experiment; trial, rung, attempt, worker, reason) → 'ok' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes refusals, and the record, `queued`, `running`
-- ARGV[1…3] what the message said: trial, rung, attempt
-- ARGV[4]  the worker's name
-- ARGV[5]  why this node cannot run it
--
-- The segment is due again in REFUSED_AGAIN; the worker rests before it takes another. A claim that the worker has made but not started goes
-- back as it was, without an entry: nothing was trained. The claim's token stays used up.

if absent() then return 'unknown' end
redis.call('HSET', experiment .. ':refusals', ARGV[4], ARGV[5])
local r = record(ARGV[1])
if not r or r.rung ~= ARGV[2] or r.attempt ~= ARGV[3] then return 'ok' end
local claimed = r.state == 'RUNNING' and r.worker == ARGV[4] and r.started ~= r.token
if claimed then
  redis.call('HSET', r.key, 'state', 'QUEUED', 'claim', '')
  redis.call('ZREM', running, r.trial)
end
if claimed or r.state == 'QUEUED' then
  refused(r)
end
return 'ok'
