-- retry(experiment; request, members, which, trial …) → 'unknown' | the trials, parted by spaces
--
-- KEYS[1]  the experiment's hash: state; writes records, `queued`, orders and the journal
-- ARGV[1]  random id of this order
-- ARGV[2]  members of each `retried` entry after trial and rung, JSON text without braces
-- ARGV[3]  'all', or 'these'
-- ARGV[4…] the trials, if 'these'
--
-- Only what has failed for good is tried again: its counts begin anew, its attempts go on. A
-- finished experiment is open again, with all that it had queued.

local answer, state = obeyed(ARGV[1])
if answer then return answer end
if state == 'cancelled' then return '' end

local trials, again_now = {}, {}
if ARGV[3] == 'all' then
  for trial = 0, redis.call('HGET', experiment, 'trials') - 1 do
    table.insert(trials, digits(trial))
  end
else
  for i = 4, #ARGV do table.insert(trials, ARGV[i]) end
end
for _, trial in ipairs(trials) do
  local r = record(trial)
  if r and r.state == 'FINAL' then
    append('retried', '"trial":' .. trial .. ',"rung":' .. r.rung .. ',' .. ARGV[2], true)
    redis.call('HSET', r.key, 'failures', 0, 'losses', 0, 'unwitnessed', 0, 'avoid', '')
    again(r)
    table.insert(again_now, trial)
  end
end
if #again_now == 0 then return '' end
if state == 'finished' then
  redis.call('HSET', experiment, 'state', 'open')
  all_due()
end
return obey(ARGV[1], table.concat(again_now, ' '))
