import os


def where():
    """The name of the AWS Lambda function that makes this call."""
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]


large = long = pooled = where
