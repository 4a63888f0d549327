import os
import signal


def step(n):
    return n * 2


def version():
    return 1


def memory():
    return int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])


def put(bucket, key):
    import boto3  # The managed runtime has it.

    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"content")


def once(bucket, key):
    """Kills its function's process, the first time."""
    import boto3

    s3 = boto3.client("s3")
    if s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
        return "alive"
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    os.kill(os.getppid(), signal.SIGKILL)
