-- release(experiment; trial, claim, reason, witness) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes what `lose` writes
-- ARGV[1]  trial
-- ARGV[2]  claim id, or token, whose process is gone
-- ARGV[3]  reason
-- ARGV[4]  'death' (seen to die unasked) or 'asked'
--
-- Not counted when stale: a keeper releases by habit when its child has ended.

if absent() then return 'unknown' end
local r = record(ARGV[1])
if not r then return 'stale' end
if r.state == 'RUNNING' and (r.claim == ARGV[2] or r.token == ARGV[2]) then
  lose(r, ARGV[3], ARGV[4])
  return 'ok'
end
local ended = r.ended_claim == ARGV[2] or r.ended_token == ARGV[2]
return ended and r.ended_how == 'lost' and 'ok' or 'stale'
