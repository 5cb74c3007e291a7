-- schedule(experiment; last, request, (trial, bracket, rung, target, config) …)
--     → 'ok' | 'stale' | 'paused' | 'finished' | 'cancelled' | 'unknown'
--
-- KEYS[1]  the experiment's hash; writes records, `queued` and the journal
-- ARGV[1]  id of the last decision-relevant entry that the caller had folded
-- ARGV[2]  random id of this call
-- ARGV[3…] five per segment; config is JSON text
--
-- All segments are written or none. No decision on a stale fold: `last` must still be the last, and
-- each call that is accepted moves it. Rung 0 takes the next trial number; a higher rung needs the
-- trial IDLE in the rung below and keeps its config. Failures and losses are counted per rung.

local answer = undecidable(ARGV[1], ARGV[2])
if answer then return answer end

local trials = tonumber(redis.call('HGET', experiment, 'trials'))
local segments, taken = {}, {}
for i = 3, #ARGV, 5 do
  local trial, bracket, rung, target, config = unpack(ARGV, i, i + 4)
  local name = 'trial ' .. trial .. ' rung ' .. rung
  if taken[trial] then return illegal(name .. ' is the second segment of its trial in one call') end
  taken[trial] = true
  if rung == '0' then
    if trial ~= digits(trials) then return illegal(name .. ': the next new trial is ' .. trials) end
    trials = trials + 1
  else
    local r = record(trial)
    if not r or r.state ~= 'IDLE' or r.bracket ~= bracket or r.rung + 1 ~= tonumber(rung)
      or tonumber(target) <= tonumber(r.target) then
      return illegal(name .. ' cannot be promoted to ' .. target .. ': it is ' ..
        (r and (r.state .. ' in rung ' .. r.rung .. ' of bracket ' .. r.bracket) or 'unknown'))
    end
    config = redis.call('HGET', r.key, 'config')
  end
  table.insert(segments, {key = experiment .. ':trial:' .. trial, trial = trial, bracket = bracket,
    rung = rung, target = target, attempt = '1', config = config})
end

for _, s in ipairs(segments) do
  open(s, s.config, 'bracket', s.bracket, 'rung', s.rung, 'target', s.target, 'config', s.config,
    'failures', 0, 'losses', 0, 'unwitnessed', 0, 'avoid', '')
end
redis.call('HSET', experiment, 'trials', trials, 'request', ARGV[2])
return 'ok'
