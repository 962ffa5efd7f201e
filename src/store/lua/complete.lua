-- complete: completes attempts that their agents hold.
--
-- ARGV[5…]  5 for each task: id, attempt or '', holder, digest of the report (see barred_report),
--           result: JSON, or ''
--
-- Returns  for each task `OK completed`, `REPEATED <state>` (of the same report), `MISMATCH`
--          (another report ended the attempt), `UNKNOWN`, `CANCELLED`, `ILLEGAL <state>`,
--          `LEASE <newest attempt>` or `HOLDER <caller that took it, or ->`
local answers, results = {}, {}
fetch(ids_of(5, 5))
for i = 5, #ARGV, 5 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'complete', ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if not answer then
    task.report = ARGV[i + 3]
    move(task, 'complete', 'completed', NOW)
    if ARGV[i + 4] ~= '' then
      results[#results + 1], results[#results + 2] = task.id, ARGV[i + 4]
    end
    answer = 'OK completed'
  end
  answers[#answers + 1] = answer
end
if #results > 0 then
  write('HSET', P .. 'results', results)
end
finish()
return answers
