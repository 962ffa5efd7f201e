-- release: returns tasks to the place in the subject that they had, at the request of their agents.
--
-- ARGV[5…]  4 for each task: id, attempt, holder, digest of the report (see barred_report)
--
-- Returns  for each task `OK assigned`, or the answers of `complete`
local answers = {}
fetch(ids_of(5, 4))
for i = 5, #ARGV, 4 do
  local task = known[ARGV[i]]
  local answer = barred_report(task, 'release', ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  if not answer then
    task.report = ARGV[i + 3]
    move(task, 'release', 'assigned', task.rank)
    answer = 'OK assigned'
  end
  answers[#answers + 1] = answer
end
finish()
return answers
