-- shorten: keeps the timeline of a task short.
-- Needs  record

-- Deletes the oldest transitions of a timeline that is too long, but never the first one, which
-- says who submitted the task and when, nor those that are added now.
local function shorten(task)
  local record, added = task.record, task.added
  local start = find(record, '\n', task.content, true)
  local first = start and find(record, '\n', start + 1, true)
  if not first then
    return
  end
  local _, count = string.gsub(sub(record, start) .. added, '\n', '')
  local excess, last = #record - start + #added - TIMELINE_BYTES, first
  while last <= #record and (count > TIMELINE or last - first < excess) do
    last = find(record, '\n', last + 1, true) or #record + 1
    count = count - 1
  end
  task.record = sub(record, 1, first - 1) .. sub(record, last)
end
