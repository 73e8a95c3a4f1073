package com.example;

/** The service of the demo, as conf/demo.conf declares it in version 1.0.0. */
public interface Greeter {

    /** Greets, and says which provider does. */
    String sayHello(String name);
}
