-- gather: turns the changes that a call collected into writes.
-- Needs  move, settle

-- Adds to the numbers of a hash: pairs of a field and an increment. A value that is not a number
-- counts as 0.
local function add(key, fields, amounts)
  local sums = {}
  for nth, number in ipairs(read_fields(key, fields)) do
    push(sums, fields[nth], TEXT[(tonumber(number or 0) or 0) + amounts[nth]])
  end
  write('HSET', key, sums)
end

-- Adds the counts that are not 0 to the numbers of a hash. Returns whether there are any.
local function add_all(key, counts)
  local fields, amounts = {}, {}
  for field, amount in pairs(counts) do
    if amount ~= 0 then
      push(fields, field)
      push(amounts, amount)
    end
  end
  if #fields > 0 then
    add(key, fields, amounts)
  end
  return #fields > 0
end

-- Counts what the steps did: open tasks, wake-ups and figures of the report.
local function count_steps()
  local figures = {}
  for _, step in ipairs(steps) do
    local status = step.status
    local name = step.is_move and STATES[step.to].wake
    if name then
      wake(name == 'agent' and 'agent:' .. status.agent or name, step.count)
    end
    local open = step.opens and 1 or step.ends and -1
    if open then
      opened[status.priority] = (opened[status.priority] or 0) + open * step.count
    end
    count_firsts(step)
    if step.ends then
      count_ends(step)
    end
    local group = status.agent .. ' ' .. status.kind .. ' ' .. status.priority .. ' '
    for figure, number in pairs(step.figures) do
      local field = group .. figure
      figures[field] = (figures[field] or 0) + number
    end
  end
  add_all(P .. 'open', opened)
  local hour = P .. 'sla:' .. TEXT[math.floor(NOW / 3600000)]
  if add_all(hour, figures) then
    write('EXPIRE', hour, { REPORT_KEPT, 'NX' })
  end
end

-- Sets the scores of these members to these times, but leaves those that are sooner.
local function move_forward(key, times)
  local sooner = {}
  for member, at in pairs(times) do
    local planned = tonumber(redis.call('ZSCORE', key, member) or nil)
    typed[key] = true
    if not planned or planned - at > 0 then
      push(sooner, TEXT[at], member)
    end
  end
  write_all('ZADD', key, sooner)
end

-- Turns the collected changes into writes.
local function gather()
  settle_all()
  for _, task in ipairs(changed) do
    -- The record of a task that has joined a step is there. A task may have changed twice.
    if not task.step and not task.is_packed then
      task.is_packed = true
      push(records, task.id, pack(task))
    end
  end
  write_all('HSET', P .. 'records', records)
  for key, ids in pairs(gone) do
    write('ZREM', key, ids)
  end
  for key, scored in pairs(come) do
    write('ZADD', key, scored)
  end
  for key, scored in pairs(ranked) do
    write('ZADD', key, scored, true)
  end
  write_all('ZADD', P .. 'timers', set_timers)
  write_all('ZREM', P .. 'timers', unset_timers)
  move_forward(P .. 'timers', group_timers)
  move_forward(P .. 'roster', watched)
  count_steps()
end
