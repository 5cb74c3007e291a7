-- suspend(experiment; trial, token, members, reached, path, resource, metrics, text)
--     → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1] and ARGV as in complete.lua
--
-- Drained before the target: the rest is scheduled as the next attempt in the same script. It is
-- due at once and counts neither as a loss nor as a failure.

local r, answer = fenced(ARGV[1], ARGV[2], {suspended = 'ok'})
if not r then return answer end
local error = misfit(r, ARGV[4], ARGV[5], ARGV[6])
if error then return error end

if ARGV[5] ~= '' then push(r, ARGV[5], ARGV[6], ARGV[7], ARGV[8]) end
append('suspended', head(r, r.token, r.worker) .. ARGV[3])
close(r, 'QUEUED', 'suspended')
again(r)
return 'ok'
