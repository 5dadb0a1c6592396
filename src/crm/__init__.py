"""The reference CRM: a company of its own with contacts, subscriptions, tickets and usage, and who churns and why."""
