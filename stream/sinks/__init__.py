"""What effects become."""
