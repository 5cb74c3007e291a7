-- checkpoint(experiment, troubles, aside; trial, token, path, resource, metrics, text) → 'ok' | 'stale' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes the trial's checkpoints
-- KEYS[2]  hash of worker → its troubles: one that could not save can save again
-- KEYS[3]  zset of the workers set aside
-- ARGV[1]  trial
-- ARGV[2]  token of the claim, which is kept with the checkpoint
-- ARGV[3]  path
-- ARGV[4]  resource
-- ARGV[5]  metrics, JSON text
-- ARGV[6]  the whole checkpoint, JSON text

local r, answer = fenced(ARGV[1], ARGV[2], {})
if not r then return answer end
local error = misfit(r, '', ARGV[3], ARGV[4])
if error then return error end

push(r, ARGV[3], ARGV[4], ARGV[5], ARGV[6])
recover(KEYS[2], KEYS[3], r.worker, true)
return 'ok'
