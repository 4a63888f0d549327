"""Stand-ins for the services of AWS that an instance of Hark consists of, made from its template: functions of Lambda, queues of SQS,
schedules, uploads into S3 and requests of an HTTP API. tests/lambda/service.py puts them together."""
