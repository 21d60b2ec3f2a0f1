"""What models are asked, as templates.  No decisions: those are code's."""
