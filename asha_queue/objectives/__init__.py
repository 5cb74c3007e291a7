"""Objectives as they are written for Optuna: what their `suggest_*` calls mean to a space."""
