"""When a bank transaction counts: 30-second tumbling windows of event time, a watermark, late events. In words.

**Window.** A transaction belongs to the window [start, start + 30 s) that its event time falls in, aligned to the
minute, per customer. It counts as soon as it is read; nobody waits for a window to close.

**Watermark.** Before each message, the watermark of its partition is the furthest event time of the sound messages at
*lower offsets of that partition*, less the allowed lateness. An event time ahead of Kafka's own time stamp counts as
that time stamp: one clock that runs fast must not close everybody's windows.

**Late.** A transaction is late when its window ended at or before that watermark. It stands in the table of late events
and in no window, for ever: what was reported for a closed window does not change.

Each message is judged by what lies before it in its own partition, whose order Kafka keeps, so the same log gives the
same windows and the same late events however it is cut into batches. A watermark per topic, or per batch, would not:
partitions are read at different speeds, and a batch ends where the clock happens to say so. A customer's messages are
in one partition (the key), so the rule is also what the customer's own stream has shown.
"""

from __future__ import annotations

WINDOW_SECONDS = 30
ALLOWED_LATENESS_SECONDS = 10
"""How far a booking may fall behind its neighbours and still count, beyond the rest of its window."""
RETURNED_PAYMENT = "returned_payment"
"""Category of a payment that bounced for want of funds."""
