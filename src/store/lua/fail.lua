-- fail: attempts did not work; each is followed by another after a back-off, or was the last.
--
-- ARGV[5]   waits by number of failures, ms, joined by commas
-- ARGV[6…]  6 for each task: id, attempt or '' (the caller must be the holder), error: a JSON string,
--           1 if another attempt makes sense else 0, wait before it in ms or '', result: JSON, or ''
--
-- Returns  for each task `OK scheduled`, `OK failed`, `REPEATED <state>`, `UNKNOWN`, `CANCELLED`,
--          `ILLEGAL <state>`, `LEASE <newest attempt>` or `HOLDER <who>`
local answers, results = {}, {}
fetch(ids_of(6, 6))
for i = 6, #ARGV, 6 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'fail', ARGV[i + 1])
  if answer and answer ~= 'UNKNOWN' and task.state == 'scheduled' then
    -- Where a failed attempt leads too: the same report, once more.
    answer = barred_report(task, 'retry', ARGV[i + 1])
  end
  if not answer then
    fail(task, 'fail', ARGV[i + 2], ARGV[i + 3] == '1', tonumber(ARGV[i + 4]), ARGV[5])
    if ARGV[i + 5] ~= '' then
      results[#results + 1], results[#results + 2] = task.id, ARGV[i + 5]
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
