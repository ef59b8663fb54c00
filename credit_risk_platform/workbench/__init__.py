"""What every room that trains models shares: how a candidate is made and shown, and how one becomes champion."""
