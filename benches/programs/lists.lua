local items = {}
for n = 1000000, 1, -1 do items[#items + 1] = n end
local total = 0
for i = 1, #items do total = total + items[i] end
print(total)
