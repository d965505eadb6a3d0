DROP TABLE visits;
DROP TABLE notes;
