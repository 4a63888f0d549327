def main():
    table = {}
    for i in range(500_000):
        table[i] = i * 2
    total = 0
    for i in range(500_000):
        total += table[i]
    return total


print(main())
