package mesh.kit.api;

public enum Color {
    RED, GREEN, BLUE
}
