-- restore_journal(experiment; request, (id, v, type, at, data) …) → 'ok' | 'replaced'
--
-- KEYS[1]  the experiment's hash; writes the journal
-- ARGV[1]  id of the restore that was begun
-- ARGV[2…] five per entry, in the order of their ids

if not restoring(ARGV[1]) then return 'replaced' end
for i = 2, #ARGV, 5 do
  redis.call('XADD', experiment .. ':journal', ARGV[i], 'v', ARGV[i + 1], 'type', ARGV[i + 2],
    'at', ARGV[i + 3], 'data', ARGV[i + 4])
end
return 'ok'
