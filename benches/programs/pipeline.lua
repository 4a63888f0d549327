local function numbers(n)
  local items = {}
  for i = 1, n do items[i] = i - 1 end
  return items
end

local function map(f, items)
  local result = {}
  for i = 1, #items do result[i] = f(items[i]) end
  return result
end

local function filter(f, items)
  local result = {}
  for i = 1, #items do
    local item = items[i]
    if f(item) then result[#result + 1] = item end
  end
  return result
end

local function reduce(f, items, result)
  for i = 1, #items do result = f(result, items[i]) end
  return result
end

local function triple(x) return x * 3 end
local function even(x) return x % 2 == 0 end
local function add(a, b) return a + b end

print(reduce(add, filter(even, map(triple, numbers(1000000))), 0))
