"""What our web apps share: verifying sign-in tokens, errors as answers, request logs. Routes are the apps' own."""
