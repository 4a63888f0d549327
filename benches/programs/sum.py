def main():
    total = 0
    for i in range(1, 10_000_001):
        total += i
    return total


print(main())
