"""Mails, on standard output. A real one would be sent with `hark.call_id()` as its key, so that no try sends a second."""


def ask(order, answer_to):
    print(f"To the boss: may order {order} be shipped?")
    print(f"  hark resolve {answer_to} true")


def tell(order, answer):
    print(f"To the customer: your order {order} is {answer}")
