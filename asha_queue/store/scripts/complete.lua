-- complete(experiment; trial, token, members, reached, path, resource, metrics, text)
--     → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes the record, `running`, checkpoints, the journal
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
return 'ok'
