"""Actions on KEDA's own objects; what KEDA makes of them is never written."""
