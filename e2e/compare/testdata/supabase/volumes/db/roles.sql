CREATE ROLE authenticator LOGIN;
