-- release(experiment; trial, claim, reason, witness) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes what `lose` writes, and `queued`
-- ARGV[1]  trial
-- ARGV[2]  claim id, or token, whose process is gone
-- ARGV[3]  reason
-- ARGV[4]  'death' (seen to die unasked) or 'asked'
--
-- Not counted when stale: a keeper releases by habit when its child has ended. A claim that is not
-- known here died on its way, and its message with it: the segment, if it is still queued, is due at
-- once. Its message is doubled by that if another is there; a claim that comes second is refused.

if absent() then return 'unknown' end
local r = record(ARGV[1])
if not r then return 'stale' end
if r.state == 'RUNNING' and (r.claim == ARGV[2] or r.token == ARGV[2]) then
  lose(r, ARGV[3], ARGV[4])
  return 'ok'
end
if r.ended_claim == ARGV[2] or r.ended_token == ARGV[2] then
  return r.ended_how == 'lost' and 'ok' or 'stale'
end
if r.state == 'QUEUED' then
  local due = tonumber(redis.call('ZSCORE', queued, r.trial))
  redis.call('ZADD', queued, digits(math.min(due, now)), r.trial)
end
return 'stale'
