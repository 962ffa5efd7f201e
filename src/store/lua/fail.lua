-- fail: fails attempts. Each is followed by another one after a back-off, or was the last.
--
-- ARGV[5]   waits by number of failures, ms, joined by commas
-- ARGV[6]   rank of the caller's role
-- ARGV[7…]  8 for each task: id, attempt or '', holder, digest of the report (see barred_report),
--           error: a JSON string, 1 if another attempt makes sense else 0, wait before it in ms or
--           '', result: JSON, or ''
--
-- Returns  for each task `OK scheduled`, `OK failed`, or the answers of `complete`
local answers, results = {}, {}
fetch(ids_of(7, 8))
for i = 7, #ARGV, 8 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'fail', ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if not answer then
    task.report = ARGV[i + 3]
    fail(task, 'fail', ARGV[i + 4], ARGV[i + 5] == '1', tonumber(ARGV[i + 6]), ARGV[5])
    note_end(task, ARGV[6])
    if ARGV[i + 7] ~= '' then
      results[#results + 1], results[#results + 2] = task.id, ARGV[i + 7]
    end
    answer = 'OK ' .. task.state
  end
  answers[#answers + 1] = answer
end
if #results > 0 then
  write('HSET', P .. 'results', results)
end
finish()
return answers
