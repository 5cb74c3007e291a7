-- fail(experiment, troubles, aside; trial, token, members, reached, path, resource, metrics, text)
--     → 'retry' | 'final' | 'stale' | 'unknown'
--
-- KEYS and ARGV as in complete.lua; the script adds "final" to the members
--
-- Up to `retries` failures of a segment are scheduled again, and avoid this worker for a while. The
-- worker may be set aside.

local r, answer = fenced(ARGV[1], ARGV[2], {retry = 'retry', final = 'final'})
if not r then return answer end
local error = misfit(r, ARGV[4], ARGV[5], ARGV[6])
if error then return error end

if ARGV[5] ~= '' then push(r, ARGV[5], ARGV[6], ARGV[7], ARGV[8]) end
blame(KEYS[2], KEYS[3], r.worker, experiment .. ' ' .. r.trial)
local failures = redis.call('HINCRBY', r.key, 'failures', 1)
if failures > tonumber(redis.call('HGET', experiment, 'retries')) then
  append('failed', head(r, r.token, r.worker) .. ARGV[3] .. ',"final":true', true)
  close(r, 'FINAL', 'final')
  return 'final'
end
append('failed', head(r, r.token, r.worker) .. ARGV[3] .. ',"final":false')
close(r, 'QUEUED', 'retry')
redis.call('HSET', r.key, 'avoid', r.worker, 'avoid_until', digits(now + AVOID))
again(r)
return 'retry'
