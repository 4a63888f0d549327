local table = {}
for i = 0, 499999 do table["key" .. tostring(i)] = i * 2 end
local total = 0
for i = 0, 499999 do total = total + table["key" .. tostring(i)] end
print(total)
