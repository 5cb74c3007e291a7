-- complete(experiment, troubles, aside; trial, token, members, reached, path, resource, metrics, text)
--     → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes the record, `running`, checkpoints, the journal
-- KEYS[2]  hash of worker → its troubles, and
-- KEYS[3]  zset of the workers set aside: those of this one end, and one that it has failed on before
--          may be to blame
-- ARGV[1]  trial
-- ARGV[2]  token of the claim
-- ARGV[3]  members of the entry after trial … worker, JSON text without braces
-- ARGV[4]  the step reached
-- ARGV[5…8] the last checkpoint as in checkpoint.lua, path '' = none

local r, answer = fenced(ARGV[1], ARGV[2], {completed = 'ok'})
if not r then return answer end
local error = misfit(r, ARGV[4], ARGV[5], ARGV[6])
if error then return error end

if ARGV[5] ~= '' then push(r, ARGV[5], ARGV[6], ARGV[7], ARGV[8]) end
append('completed', head(r, r.token, r.worker) .. ARGV[3], true)
close(r, 'IDLE', 'completed')
recover(KEYS[2], KEYS[3], r.worker)
if r.avoid ~= '' and r.avoid ~= r.worker then
  local name = redis.call('HGET', experiment, 'name')
  blame(KEYS[2], KEYS[3], r.avoid, nil, 'trial ' .. r.trial .. ' of ' .. name)
end
return 'ok'
