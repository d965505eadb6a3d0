CREATE TABLE notes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message text NOT NULL
);
CREATE TABLE visits (page text PRIMARY KEY, count integer NOT NULL);
