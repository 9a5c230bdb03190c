"""What every other package uses: structures, skeletons, geometry, cameras, files, errors; imports none of them."""
