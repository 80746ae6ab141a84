"""Takedown: photos removed everywhere and kept from coming back."""
