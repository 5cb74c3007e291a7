-- release_worker(experiment; worker, reason) → 'unknown' | trial …
--
-- KEYS[1]  the experiment's hash; writes what `lose` writes
-- ARGV[1]  name of a worker that is known to be dead
-- ARGV[2]  reason

if absent() then return 'unknown' end
local trials = {}
for _, trial in ipairs(redis.call('ZRANGE', running, 0, -1)) do
  local r = record(trial)
  if r.worker == ARGV[1] then
    lose(r, ARGV[2], 'death')
    table.insert(trials, trial)
  end
end
return trials
