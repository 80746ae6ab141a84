"""What our web apps share: verifying sign-in tokens, errors as answers, bodies, logs. Routes are the apps' own."""
