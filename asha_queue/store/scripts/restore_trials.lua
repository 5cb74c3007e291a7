-- restore_trials(experiment; request, (trial, words, word …, checkpoints, checkpoint …) …)
--     → 'ok' | 'replaced'
--
-- KEYS[1]  the experiment's hash; writes records and checkpoints
-- ARGV[1]  id of the restore that was begun
-- ARGV[2…] per trial: its number; how many words, and the words: fields and values of its record;
--          how many checkpoints, and the checkpoints, oldest first

if not restoring(ARGV[1]) then return 'replaced' end
local i = 2
local function taken()
  local first = i + 1
  i = first + ARGV[i]
  return unpack(ARGV, first, i - 1)
end
while i <= #ARGV do
  local trial = ARGV[i]
  i = i + 1
  redis.call('HSET', experiment .. ':trial:' .. trial, taken())
  if ARGV[i] ~= '0' then
    redis.call('RPUSH', experiment .. ':checkpoints:' .. trial, taken())
  else
    i = i + 1
  end
end
return 'ok'
