"""Questions put to a trained network, one folder a question.

An audit is a function `(subject, *, ..., generator=None) -> Finding`; `subject` is a
`netwright.measure.Subject`. The attacks, fits and counts underneath work on plain modules and
tensors, without a task or a run.
"""
